"""Pure numpy detectors: columns, state, limits and the time in; findings out. No I/O, no clock, no Faust."""
