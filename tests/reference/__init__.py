"""A second, independent telling of the simulator's rules, for differential tests."""
