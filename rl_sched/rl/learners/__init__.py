"""RLlib learners with the losses of this project, one file per algorithm."""
