"""Networks of the papers that neither torchvision nor timm has."""
