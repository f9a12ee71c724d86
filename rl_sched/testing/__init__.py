"""Conformance suites: what every entry of a family must do, run over each registered name."""
