"""What people see of a training while it runs: its log, TensorBoard, a bar, and `status.json`."""
