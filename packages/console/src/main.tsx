import { render } from 'preact';
import { App } from './app.js';
import { applyTheme } from './theme.js';
import './style.css';

applyTheme();
const place = document.getElementById('console');
if (place !== null) render(<App />, place);
