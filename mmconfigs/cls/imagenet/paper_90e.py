"""ImageNet as SlimConv trains middle-sized networks (IV-A1): SGD, 0.1 divided by 10 every 30 epochs.

Printed in the paper: SGD, momentum 0.9, weight decay 1e-4, batch 256, learning rate 0.1 divided by 10 every 30 epochs,
crops of random size to 224x224 and flips. Not printed and assumed: 90 epochs (three steps, as torchvision's recipe that
reaches the printed baselines), the middle 224 pixels of images resized to 256 as test. The paper picks each network's
best epoch on the validation images; here the last one counts. bf16 autocast, channels_last.

`test256`: the same weights on larger images; "we directly change the size" is read as the same share of the image
(7/8) at 256x256.

Command:          slimbench train imagenet/paper-90e/sc_resnet50 --seed 0   (any ImageNet model of `slimbench models`)
Larger images:    slimbench test imagenet/paper-90e-test256/sc_resnet50 --checkpoint FILE
Expected time:    about 13 hours for ResNet-50 on one H100, if it trains on 2,500 images a second (not measured)
Expected metric:  top-1 error on the 50,000 validation images; SlimConv, Tables I, II and X (ResNet-50: 23.85 %)
"""

_base_ = ["../_base_/imagenet_sgd.py"]

protocol = dict(
    name="paper-90e",
    proxy=False,
    epochs=90,
    description="SlimConv IV-A1: SGD 0.1 divided by 10 every 30 epochs, momentum 0.9, weight decay 1e-4, batch 256, "
    "crops of random size and flips; assumed: 90 epochs, the last one tested (the paper's best one), bf16",
)

train_cfg = dict(type="EpochBasedTrainLoop", max_epochs=90, val_interval=1)
param_scheduler = [dict(type="MultiStepLR", milestones=[30, 60], gamma=0.1)]

variants = {
    "test256": dict(
        description="tested on images of 256x256 instead of 224x224 pixels (a checkpoint of paper-90e)",
        changes={
            "protocol.evaluate_only": True,
            "protocol.weights_of": "imagenet/paper-90e",
            "dataset.trained_size": (3, 224, 224),
            "dataset.input_size": (3, 256, 256),
            "test_dataloader.dataset.size": 256,
        },
    ),
}
