"""The report of a run: one HTML file that needs nothing else."""

from html import escape
from pathlib import Path

from testnet.scenario.facts import Verdict
from testnet.scenario.picture import draw_timeline
from testnet.scenario.running import Outcome

_STYLE = """
body{font:15px/1.5 system-ui,sans-serif;color:#222;background:#fff;max-width:1000px;margin:2rem auto;padding:0 1rem}
h1{font-size:1.5rem;margin:0}.verdict{font-weight:600;padding:.15rem .6rem;border-radius:.3rem;color:#fff}
.ok{background:#2a8a4a}.bad{background:#b8322a}.meta{color:#666;margin:.3rem 0 1rem}
table{border-collapse:collapse;width:100%}
td,th{text-align:left;padding:.35rem .6rem;border-bottom:1px solid #e4e4e4;vertical-align:top}
th{color:#666;font-weight:500}
td.mark{white-space:nowrap;font-weight:600}.met{color:#2a8a4a}.missed{color:#b8322a}
svg{width:100%;height:auto;margin:1rem 0}
code{font:13px ui-monospace,monospace;word-break:break-all}.story{white-space:pre-line}
"""


def render_page(outcome: Outcome) -> str:
    scenario, facts = outcome.scenario, outcome.facts
    word, kind = ("passed", "ok") if outcome.is_passed else ("FAILED", "bad")
    rows = "".join(map(_render_row, outcome.verdicts))
    meta = (
        f"{scenario.network.validators} validators, {outcome.backend}, seed {scenario.network.seed}, "
        f"{scenario.network.duration_s:g} s; {facts.trades} trades, {len(facts.liquidations)} liquidations"
    )
    notes = "".join(f"<p>{escape(note)}</p>" for note in facts.notes)
    log = "".join(
        f"<tr><td>{happening.at_s:.1f} s</td><td>{escape(happening.text)}</td></tr>" for happening in outcome.happenings
    )
    root = f"<p>Newest root that all have: <code>{escape(facts.state_root)}</code></p>" if facts.state_root else ""
    return (
        f'<!doctype html><html lang="en"><head><meta charset="utf-8"><title>{escape(scenario.title)}</title>'
        f"<style>{_STYLE}</style></head><body>"
        f'<h1>{escape(scenario.title)} <span class="verdict {kind}">{word}</span></h1>'
        f'<p class="meta">{escape(meta)}</p><p class="story">{escape(scenario.story)}</p>{draw_timeline(outcome)}'
        f"<table><tr><th>what must hold</th><th>measured</th><th></th></tr>{rows}</table>{root}{notes}"
        f"<h2>Log</h2><table>{log}</table></body></html>\n"
    )


def _render_row(verdict: Verdict) -> str:
    word, kind = ("ok", "met") if verdict.is_met else ("FAILED", "missed")
    return (
        f"<tr><td>{escape(verdict.text)}</td><td>{escape(verdict.measured)}</td>"
        f'<td class="mark {kind}">{word}</td></tr>'
    )


def write_page(outcome: Outcome, path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(render_page(outcome))
