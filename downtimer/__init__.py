"""downtimer: how long each OpenStack API and floating IP was down during an upgrade."""

__version__ = "0.1.0"
