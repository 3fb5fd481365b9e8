"""The shape of every answer as a type: what schemas, reference pages and the gateway of a trader are made from."""
