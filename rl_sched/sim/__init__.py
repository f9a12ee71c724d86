"""The compiled simulator: one structured record per environment, and the kernels that move it."""
