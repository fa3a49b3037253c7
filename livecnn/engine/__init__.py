"""From a frame to a tick: the crop, the network on its device, its reducers. A new kind of reducer is a class here."""
