import DefaultTheme from 'vitepress/theme-without-fonts'
import type { Theme } from 'vitepress'
import './style.css'

export default { extends: DefaultTheme } satisfies Theme
