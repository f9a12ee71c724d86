"""Learning: networks, RLlib's PPO around them, training, checkpoints and the learned policy.

Nothing is imported here: torch and RLlib cost seconds, and only the verbs that learn need them.
"""
