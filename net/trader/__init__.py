"""The gateway on a trader's own machine (`hansa gateway`): clients written for Deribit speak to it as they always did,
and it holds the key, signs, asks several nodes of the network and believes none of them alone.

Needs no libp2p and no compiler.
"""
