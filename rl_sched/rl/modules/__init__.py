"""RLlib modules: a network of the NETWORKS table in the shape that an RLlib learner expects."""
