"""How a result becomes believable: metrics of a run, statistics over seeds, the protocol and the report."""
