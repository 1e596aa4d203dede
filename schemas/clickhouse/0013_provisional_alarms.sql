-- Alarms may be told as provisional first. Only what the columns hold is said anew; views are made by their files.
ALTER TABLE alarm_events
    COMMENT COLUMN IF EXISTS event 'opened, provisional (a single value of a component that speaks seldom; no alarm yet), confirmed (from now on an open alarm), withdrawn (the next value shows that there is nothing), escalated, worsened, recovered, reactivated, amended (it began earlier than was told); superseded (the same again after a day of normal values, and nobody had reset it), reset, closed',
    COMMENT COLUMN IF EXISTS episode 'arrival of the report that opened the alarm or told it as provisional, by which it is known; the onset of earlier versions'' alarms';

ALTER TABLE backfill_alarms
    COMMENT COLUMN IF EXISTS event 'opened, provisional, confirmed, withdrawn, escalated, worsened, recovered, reactivated, amended, superseded, reset, closed: as in alarm_events',
    COMMENT COLUMN IF EXISTS episode 'arrival of the report that opened the alarm or told it as provisional, by which it is known';
