"""A testnet of containers: launcher, folder and judgement of the processes', and real networks between hosts."""
