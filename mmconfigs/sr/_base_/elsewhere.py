"""Weights that were trained on the 291 pictures, tested on other pictures than Set5; nothing is trained."""

_base_ = ["set5.py"]

train_cfg = dict(type="EpochBasedTrainLoop", max_epochs=0)
samples = []

# What set5/paper has, for the weights that it trains.
variants = {
    "all-patches": dict(
        description="here one of set5/paper-all-patches", changes={"protocol.weights_of": "set5/paper-all-patches"}
    ),
    **{
        "".join(f"x{scale}" for scale in scales): dict(
            description=f"here one of set5/paper-{''.join(f'x{scale}' for scale in scales)}",
            changes={
                "protocol.weights_of": f"set5/paper-{''.join(f'x{scale}' for scale in scales)}",
                "val_dataloader.dataset.scales": scales,
                "test_dataloader.dataset.scales": scales,
            },
        )
        for scales in ((2, 4), (2,), (4,))
    },
}
