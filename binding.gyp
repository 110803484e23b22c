{
  "targets": [{
    "target_name": "dinov3_flow",
    "type": "none",
    "actions": [{
      "action_name": "cmake_build",
      "inputs": ["CMakeLists.txt", "<!@(node scripts/gyp-cmake.cjs --inputs)"],
      "outputs": ["<(PRODUCT_DIR)/dinov3_flow.node"],
      "action": ["node", "scripts/gyp-cmake.cjs", "<(PRODUCT_DIR)", "<(target_arch)"]
    }]
  }]
}
