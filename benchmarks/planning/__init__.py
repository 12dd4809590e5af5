"""Many runs: which ones the tables lack, in which order, at what cost, side by side, on a cluster.

`plan` finds what is missing, `order` says what comes first, `estimate` how long it takes, `work` turns a wish into
runs, `parallel` and `slurm` start them as processes (`child`) of this machine or of a cluster.
"""
