"""Slow early warning: rules over hourly aggregates, pure numpy, run once an hour by a thin job.

The stream keeps what is urgent. What takes days shows here: leakage over its own normal, creep, a joint that gets
worse.

**Why learned state and not sixty days of hours.** A city has a million components; sixty days of their hours are 1.4
billion rows, and a run has five minutes on two cores. So each component has a small learned state, 0.8 to 1 kB: its
normal by hour of day and kind of day, the last 24 hours, a level a day for 70 days, the sums of two regressions. A run
reads that and the newest hours, and writes it back (`early_warning.state`). Tables a day made by ClickHouse would be
read whole each hour to say the same, and would need clipped learning in SQL.

**Exact under repeats.** The hours of a component are taken in their order, each once: the state knows the last hour
that was taken, and what is not newer is skipped. So a run that is repeated says nothing new, and any cut of the hours
into runs gives the same notices. After an outage the hours that came meanwhile are taken one by one. An hour that comes
after a newer one of the same component is in the tables of hours, and teaches nothing. What neighbours share is
computed from the values of that hour that are taken together.

**Nothing is said twice.** What was told of a component, when and how bad, is part of its state: a condition that stands
is told again when it is half as bad again, or after 30 days; and anew when it was gone for three days. A notice is
known by rule, subject and hour (`schemas.notices`).

A rule is one file in `early_warning.rules` and one row in `early_warning.table`.
"""
