{ "target_defaults": { "default_configuration": "Release", "configurations": { "Debug": {}, "Release": {} } } }
