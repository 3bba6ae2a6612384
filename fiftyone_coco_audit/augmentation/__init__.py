"""What an augmentation pipeline does to images and to their labels."""
