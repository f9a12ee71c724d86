"""The NETWORKS table: every policy and value network by name.

A network is an ``nn.Module`` class ``Net(spec: ObsSpec, config: NetworkConfig, guide_prior: float)`` whose
``forward(obs)`` returns a ``PolicyOutput``. It knows torch and shapes, nothing of RLlib or of the simulator.
"""

from rl_sched.registry import Registry

NETWORKS = Registry(
    "network",
    {
        "mlp": "rl_sched.rl.networks.mlp:FlatMLP",
        "cross_attention": "rl_sched.rl.networks.cross_attention:CrossAttention",
    },
)
