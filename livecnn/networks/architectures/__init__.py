"""Architectures that livecnn trains or ships weights for, as plain nn.Modules."""
