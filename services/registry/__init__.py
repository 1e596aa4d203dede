"""The registry: units, maintenance organisations, devices and their components, as people keep them, in a relational
database; and what other parts of emberline hear of it, on `emberline.registry`."""
