"""ImageNet as SlimConv's "Sc-ResNet-50(cosine)" (Table X): as paper_90e with a cosine from 0.1 to 0.

Printed in the paper: "we try to use the cosine learning rate", and the settings of paper_90e. Not printed and assumed:
90 epochs, the rate following the cosine by iteration, no warm-up, and what paper_90e assumes.

Command:          slimbench train imagenet/paper-cosine-90e/sc_resnet50 --seed 0
Larger images:    slimbench test imagenet/paper-cosine-90e-test256/sc_resnet50 --checkpoint FILE
Expected time:    about 13 hours for ResNet-50 on one H100, if it trains on 2,500 images a second (not measured)
Expected metric:  top-1 error on the 50,000 validation images; SlimConv, Table X (22.77 %, at 256x256 22.52 %)
"""

_base_ = ["../_base_/imagenet_sgd.py"]

protocol = dict(
    name="paper-cosine-90e",
    proxy=False,
    epochs=90,
    description="SlimConv, Table X: SGD with a cosine from 0.1, momentum 0.9, weight decay 1e-4, batch 256, crops of "
    "random size and flips; assumed: 90 epochs, the last one tested (the paper's best one), bf16",
)

train_cfg = dict(type="EpochBasedTrainLoop", max_epochs=90, val_interval=1)
param_scheduler = [dict(type="CosineAnnealingLR", T_max=90, end=90, by_epoch=True, convert_to_iter_based=True)]

variants = {
    "test256": dict(
        description="tested on images of 256x256 instead of 224x224 pixels (a checkpoint of paper-cosine-90e)",
        changes={
            "protocol.evaluate_only": True,
            "protocol.weights_of": "imagenet/paper-cosine-90e",
            "dataset.trained_size": (3, 224, 224),
            "dataset.input_size": (3, 256, 256),
            "test_dataloader.dataset.size": 256,
        },
    ),
}
