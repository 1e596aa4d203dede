"""A device's state as one record of the checkpoints topic, and back, also where another release wrote it. Pure: bytes
in, bytes out.

    key    b"1" for test data, b"0" for real, then the device id in UTF-8
    value  the version of this form and the id of the layout (`layout.Layout.beginning`)
           | HEAD: the row, its open minutes, how many latches are engaged and components have late values
           | per watched quantity, the time of each component; per detector that keeps more than a latch, what it keeps
           | per open minute, the last values of each component; then, per minute with several reports, their spread
           | the engaged latches | the late values
           | what is told of the device as JSON, nothing where that is nothing

What is at rest takes no bytes: neither a latch at rest nor a minute that is not open. The bytes are numpy's own. The
layout says which bytes are which field, by names that no release changes. It is a record of its own on the topic, and
its id is in each row. So every release reads the rows of every other: what both know goes over, what only the reader
knows is at rest, and what only the writer knew is dropped.
"""
