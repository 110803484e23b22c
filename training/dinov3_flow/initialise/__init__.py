"""A start for networks that are trained from nothing: they see frequencies, neighbours and matches from the first step.

All of it stays trainable, and the rest of the network is as it was made.
"""

from ..network import FlowNetwork
from .backbone import initialise_backbone
from .head import initialise_head


def initialise(network: FlowNetwork) -> None:
    """Both parts."""
    initialise_backbone(network.backbone)
    initialise_head(network.head)
