"""What the units of some layers do over many images, class by class: the numbers, and a picture of them."""
