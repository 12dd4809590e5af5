"""The weights that SlimConv's authors released, tested on ImageNet's validation images.

The files (a link to a drive stands in the README of the authors' repository JiaxiongQ/SlimConv) are loaded by
`backbones.adapters.official`, strictly: every key of the file, none missing. Test as in paper_90e.

`cosine` is for the file of Sc-ResNet-50(cosine), `cosine-test256` tests it on images of 256x256 pixels (which weights
the paper tested there is not said).

Command:          slimbench test imagenet/released/sc_resnet50 --checkpoint FILE
Expected time:    a minute on one GPU, three hours on two CPU cores at five images a second (not measured)
Expected metric:  top-1 error on the 50,000 validation images; SlimConv, Tables I and X (Sc-ResNet-50: 23.29 %)
"""

_base_ = ["../_base_/imagenet_sgd.py"]

protocol = dict(
    name="released",
    proxy=False,
    epochs=0,
    description="the authors' released weights",
    evaluate_only=True,
    models=["sc_resnet50", "sc_resnet50_k8_3", "sc_resnet101", "sc_resnext101_32x3d_k2"],
)

weights = "official"
train_cfg = dict(type="EpochBasedTrainLoop", max_epochs=0)

variants = {
    "cosine": dict(
        description="those that were trained with a cosine learning rate", changes={}, models=["sc_resnet50"]
    ),
    "cosine-test256": dict(
        description="those that were trained with a cosine learning rate, tested on images of 256x256 pixels",
        changes={
            "dataset.trained_size": (3, 224, 224),
            "dataset.input_size": (3, 256, 256),
            "test_dataloader.dataset.size": 256,
        },
        models=["sc_resnet50"],
    ),
}
