"""ImageNet as in Versatile Filters, section 5.2.1 (AlexNet and ResNet-50): 100 epochs of SGD, steps at 30, 60 and 90.

Printed in the paper: SGD, 100 epochs, weight decay 1e-4, learning rate 0.1 that decays at 30, 60 and 90, "data
augmentation follows that in [20]" (ResNet: shorter side uniform in 256..480, random crop, flip, colour), lambda 0.1.
Not printed and assumed: decay by 10, momentum 0.9, batch 256, H of learnable masks at 30 times the weights' learning
rate. bf16 autocast, channels_last.

`8bit`, `6bit`, `5bit` (Table 6): the same weights after training, quantized by the rule of `backbones.quantize`; the
paper names TensorFlow's post-training quantization and not which of its rules. `lr0.01` is ours: the printed 0.1 is the
same for AlexNet, which has no batch norm to bear it, if it should diverge.

Command:          slimbench train imagenet/versatile-100e/separate_l_versatile_resnet50_s4 --seed 0
Fewer bits:       slimbench test imagenet/versatile-100e-8bit/separate_l_versatile_resnet50_s4 --checkpoint FILE
Expected time:    about 14 hours for ResNet-50 on one H100, if it trains on 2,500 images a second (not measured)
Expected metric:  top-1 and top-5 error on the 50,000 validation images; Versatile Filters, Tables 3 to 6 (ResNet-50:
                  24.7 and 7.8 %)
"""

_base_ = ["../_base_/imagenet_sgd.py"]

protocol = dict(
    name="versatile-100e",
    proxy=False,
    epochs=100,
    description="Versatile Filters 5.2.1: SGD 0.1, weight decay 1e-4, 100 epochs, decay at 30, 60, 90, ResNet's "
    "augmentation, orthogonality of learned masks weighs 0.1; assumed: decay by 10, momentum 0.9, batch 256, bf16",
)

train_dataloader = dict(dataset=dict(augmentation="scale-jitter"))
train_cfg = dict(type="EpochBasedTrainLoop", max_epochs=100, val_interval=1)
param_scheduler = [dict(type="MultiStepLR", milestones=[30, 60, 90], gamma=0.1)]

variants = {
    **{
        f"{bits}bit": dict(
            description=f"then quantized to {bits} bits without further training (a checkpoint of versatile-100e)",
            changes={
                "protocol.evaluate_only": True,
                "protocol.weights_of": "imagenet/versatile-100e",
                "quantize_bits": bits,
            },
        )
        for bits in (8, 6, 5)
    },
    "lr0.01": dict(
        description="learning rate from 0.01 instead of 0.1",
        changes={"optim_wrapper.optimizer.lr": 0.01},
        models=["*alexnet*"],
    ),
}
