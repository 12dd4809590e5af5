"""The data sets: where they are looked for, how they are checked, how they are fed to the training loop."""
