"""One module per dimension, one public function each."""
