"""VDSR's training with a fifth of its patches: a stand-in for the 9,960 iterations of 64 that a core finishes in an hour.

As `paper` in everything but the amount: 64 epochs of 2,000 patches, 8,000 iterations of 16, the learning rate divided
by 10 every 16 epochs. Small batches, because at equal work they were ahead: after 14,000 patches batches of 16 had
gained 1.2 dB on three pictures of Set5 at x2 and batches of 64 had gained 0.4. Results say nothing about the paper's
PSNR: they are marked as a proxy wherever they are shown.

Command:          slimbench train set5/proxy-64e/vdsr22 --seed 0   (any SR model of `slimbench models`)
Expected time:    40 minutes on one idle CPU core with bf16 instructions; with a GPU two minutes (not measured)
Expected metric:  PSNR of luminance on Set5
"""

_base_ = ["./paper.py"]

protocol = dict(
    name="proxy-64e",
    proxy=True,
    epochs=64,
    description="a fifth of Kim et al.'s patches: 64 epochs of 2,000, batch 16 (8,000 iterations), SGD 0.1, momentum "
    "0.9, weight decay 1e-4, /10 every 16, gradients clipped to 1e-4/lr, patches of 41x41 at x2, x3, x4 of 291 "
    "pictures, bf16",
)
variants = dict(_delete_=True)

train_dataloader = dict(dataset=dict(per_epoch=2_000), batch_size=16)
train_cfg = dict(type="EpochBasedTrainLoop", max_epochs=64, val_interval=4)
param_scheduler = [dict(type="MultiStepLR", milestones=[16, 32, 48], gamma=0.1)]
