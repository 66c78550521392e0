"""From boxes to people followed over time, with the evidence about their heads."""
