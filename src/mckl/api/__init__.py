"""What `import mckl` offers: KL of objects and arrays that people have."""
