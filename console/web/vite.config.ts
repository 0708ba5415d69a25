import react from '@vitejs/plugin-react'
import { defineConfig } from 'vitest/config'

// The server that the development server passes API calls on to.
const server = process.env.PHAROS_URL ?? 'http://127.0.0.1:8080'
const pass = { target: server, changeOrigin: false }

export default defineConfig({
  plugins: [react()],
  server: { port: 5173, proxy: { '/api': pass, '/prometheus': pass } },
  build: {
    target: 'es2022',
    // dist/.gitkeep keeps the folder that the Go binary embeds; the build script puts it back.
    emptyOutDir: true,
    copyPublicDir: true,
    chunkSizeWarningLimit: 1200,
    rolldownOptions: {
      output: {
        codeSplitting: {
          groups: [
            { name: 'echarts', test: /node_modules[\\/](echarts|zrender)/ },
            { name: 'codemirror', test: /node_modules[\\/](@codemirror|@lezer|@prometheus-io|yaml)/ },
          ],
        },
      },
    },
  },
  test: { include: ['src/**/*.test.ts'], environment: 'node' },
})
