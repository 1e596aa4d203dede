"""The normal life of a city's monitors and charging piles over days and months, seeded, as columns; and faults with
truth.

`fleet.Fleet` sends what a minute of a demonstration needs, far from every limit. Here is what detection has to bear:
load by hour and weekday, leakage that follows it and the weather, cables that heat, motors that start, sensors with
wild samples, clocks that are wrong, outages that are handed in later. Every value is a pure function of the seed, the
device and the report's number, so any cut of time into blocks gives the same.
"""

from fleet.life.config import LifeConfig
from fleet.life.life import Life, LifeBlock

__all__ = ["Life", "LifeBlock", "LifeConfig"]
