"""What set5/proxy-64e trains, tested on 14 more pictures.

Command:          slimbench test set14/proxy-64e/vdsr22 --checkpoint FILE
Expected time:    a minute on two CPU cores
Expected metric:  PSNR and SSIM of luminance at x2, x3 and x4, bicubic's beside the network's
"""

_base_ = ["./paper.py"]

protocol = dict(
    name="proxy-64e",
    proxy=True,
    description="Set14, tested with a network of set5/proxy-64e",
    weights_of="set5/proxy-64e",
)
variants = dict(_delete_=True)
