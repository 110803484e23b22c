// The addon that was built in this folder, or else the package's binary for this system; and its GPU kernels, a file beside the
// binaries, which the addon opens itself. Tools that trace or collect files (@vercel/nft, and so Next.js and Vercel; ncc; pkg) know
// these two lines, and take both files along.
exports.addon = require('node-gyp-build')(__dirname)
exports.kernels = require('path').join(__dirname, 'prebuilds', 'kernels.bin')
