"""Training and evaluation of dinov3-flow's networks in PyTorch."""
