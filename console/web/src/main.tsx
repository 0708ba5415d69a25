import { QueryClient, QueryClientProvider } from '@tanstack/react-query'
import { StrictMode } from 'react'
import { createRoot } from 'react-dom/client'
import { ApiError } from './api/client'
import { App } from './app/App'
import { PrefsProvider } from './app/prefs'
import './style.css'

const client = new QueryClient({
  defaultOptions: {
    queries: {
      // What the server refuses stays refused; a broken connection is tried again.
      retry: (n, e) => !(e instanceof ApiError && e.status < 500 && e.status !== 429) && n < 2,
      staleTime: 5000,
      refetchOnWindowFocus: false,
    },
  },
})

createRoot(document.getElementById('root')!).render(
  <StrictMode>
    <QueryClientProvider client={client}>
      <PrefsProvider>
        <App />
      </PrefsProvider>
    </QueryClientProvider>
  </StrictMode>,
)
