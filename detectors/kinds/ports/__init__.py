"""The detectors of what ports of charging piles must not do (requirement B1): one file each, named as its kind."""
