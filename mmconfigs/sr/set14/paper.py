"""Set14: what set5/paper trains, or VDSR's released weights, tested on 14 more pictures.

Neither paper's tables need it; Kim et al., Table 3, have it: VDSR 33.03, 29.77 and 28.01 dB at x2, x3 and x4.

Command:          slimbench test set14/paper/vdsr20 --checkpoint FILE
Expected time:    a minute on two CPU cores
Expected metric:  PSNR and SSIM of luminance at x2, x3 and x4, bicubic's beside the network's
"""

_base_ = ["../_base_/elsewhere.py"]

dataset = dict(name="set14")
protocol = dict(
    name="paper",
    proxy=False,
    epochs=0,
    description="Set14, tested with a network of set5/paper or with VDSR's released one",
    evaluate_only=True,
    weights_of="set5/paper",
)
val_dataloader = dict(dataset=dict(name="set14"))
test_dataloader = dict(dataset=dict(name="set14"))
