"""The rules, one a file. Each has

    judge(now, parameters) -> Judged     of which components it has something to say, and its evidence
    sentence(evidence) -> str            the evidence as a duty officer reads it, in Chinese
    ADVICE                               what to do

and where it learns something of its own `observe(now, parameters)`, which is called before `judge`.
"""
