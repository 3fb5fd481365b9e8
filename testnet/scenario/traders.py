"""`python -m testnet.scenario.traders DIR ...`: the traders of a local network (`testnet.bots`), whose clocks go with
the world's: DIR/controls.
"""

import sys
from pathlib import Path

from testnet.scenario.clockwork import follow_clock
from testnet.scenario.controls import Controls

if __name__ == "__main__":
    follow_clock(Controls(Path(sys.argv[1])))
    from testnet.bots import main

    sys.exit(main())
