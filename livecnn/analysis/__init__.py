"""Look at whole collections of images: a sub-package for each question, above the shards that all of them work on."""
