"""Does choosing pictures pay? The parts of the experiment that need no torch."""
