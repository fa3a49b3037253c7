"""The prompt of `livecnn shell`: its commands, completion and history, and the window beside it."""
